"""Starts the demo server on a free port, runs hello.py against it, and stops it: what ``make demo`` shows."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Returns the exit status of hello.py."""
    serve = [sys.executable, "-m", "puregrpc", "serve", "--port", "0"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline() if server.stdout is not None else ""
            address = line.strip().rpartition(" ")[2]
            if not address:
                print("the demo server did not start", file=sys.stderr)
                return 1
            print(f"the demo server listens on {address}\n", flush=True)
            script = sys.argv[1] if len(sys.argv) > 1 else "hello.py"
            return subprocess.run([sys.executable, str(HERE / script), address], check=False, timeout=60).returncode
        finally:
            server.terminate()


if __name__ == "__main__":
    sys.exit(main())
