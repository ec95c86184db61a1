"""Forms of portal and admin."""
