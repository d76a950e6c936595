"""`python -m kannon`: the same as the `kannon` command."""

import multiprocessing

if __name__ == "__main__":
    multiprocessing.freeze_support()  # a build worker of the single executable starts here too
    from kannon.cli import main  # not for build workers, which import this module under another name

    main()
