"""What a published version holds beside the SavedModel, readable without TensorFlow."""
