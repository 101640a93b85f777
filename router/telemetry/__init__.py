"""What operators see: metrics, the ops listener, the log. Adapters of values that the other rooms return."""
