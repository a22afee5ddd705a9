class TransformListener:
    def __init__(self, buffer, node):
        raise RuntimeError("tf2_ros is not installed: leave use_tf_pose false")
