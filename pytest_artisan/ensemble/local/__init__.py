"""Three small reference models that run on this machine, and a server that speaks for them."""
