"""What evaluations share that ask which of a few sentences a model finds likelier: data, table, reading, check."""
