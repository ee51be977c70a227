"""Requests at a fixed rate, whatever the answers do: an open model on Locust, in processes of its own."""
