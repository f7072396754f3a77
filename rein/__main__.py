"""Run the `rein` command as `python -m rein`."""

from rein.commands import main

if __name__ == "__main__":
    main()
