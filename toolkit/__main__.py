"""`python -m toolkit` is `seg`."""

from toolkit.cli.start import main

if __name__ == "__main__":  # worker processes import this module too
    main()
