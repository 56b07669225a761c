"""The lattice stage: cells allowed by the space group, in volume and shape or in raw coordinates."""
