"""The embedded default behind `manage.py up`: all of the platform on one machine, ended as one."""
