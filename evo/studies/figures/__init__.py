"""Studies that end with one figure: the error of series of topologies, by depth, parameters or anything else."""
