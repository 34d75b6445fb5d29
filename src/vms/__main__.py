"""`python -m vms`."""

from vms.app.cli import main

if __name__ == "__main__":
    main()
