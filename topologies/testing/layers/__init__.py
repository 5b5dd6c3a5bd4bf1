"""What every layer with a topology promises, beside the dense layer that it stands in for."""
