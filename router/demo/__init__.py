"""Five fake regions, a temporary directory and the gateway in one process: a first tour, and nothing for production."""

from router.demo.run import run_demo

__all__ = ["run_demo"]
