from pydoudou.contrib.cli import main

main()
