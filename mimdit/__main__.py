"""`python -m mimdit` is `mimdit`."""

from mimdit.cli import main

if __name__ == "__main__":
    main()
