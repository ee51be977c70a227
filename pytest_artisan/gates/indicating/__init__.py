"""What the gate `kpi` makes of a service's metrics: what is asked, of whom, and how the answers are judged."""
