"""The paper's views: pairs, exact laws of what is learned from them, exact accuracy of linear critics."""
