"""Services that come with puregrpc, both halves: health and reflection; and the demo services."""

from puregrpc.services.hello import HelloService

__all__ = ["HelloService"]
