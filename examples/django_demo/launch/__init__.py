"""What ``run.py`` needs to start the demonstration and to use it as a visitor would."""
