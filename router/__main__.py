"""`python -m router`: the same as `region-router`."""

from router.cli import main

if __name__ == "__main__":
    main()
