"""The scripting API: Client and Stream (blocking), AsyncClient and AsyncStream (trio), params, Response, constants."""
