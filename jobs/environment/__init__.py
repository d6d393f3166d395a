"""What a run stands on besides its data: each module checks a part; needs no part to be there."""
