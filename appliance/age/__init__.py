"""Age files, to key pairs and under passphrases: what bundles and slots of people are made of."""
