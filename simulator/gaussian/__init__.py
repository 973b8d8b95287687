"""The paper's Gaussian views: pairs, exact laws of linear CLIP, exact accuracy of linear
critics.
"""
