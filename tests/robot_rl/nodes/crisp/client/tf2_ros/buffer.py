class Buffer:
    def __init__(self):
        raise RuntimeError("tf2_ros is not installed: leave use_tf_pose false")
