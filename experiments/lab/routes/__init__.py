"""The routes of a study: what each learner reaches by theory, fitted to pairs, or trained as towers."""
