"""How a desktop comes to be on a machine: `base` is the contract, `local` runs child processes in bubblewrap."""
