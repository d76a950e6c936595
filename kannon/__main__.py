"""`python -m kannon`: the same as the `kannon` command."""

import multiprocessing

from kannon.cli import main

if __name__ == "__main__":
    multiprocessing.freeze_support()  # a build worker of the single executable starts here too
    main()
