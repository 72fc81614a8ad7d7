from rerank.cli import main

main()
