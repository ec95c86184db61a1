"""What `manage.py doctor` looks at: one module a noun, one small function a probe. `probes` lists them all."""
