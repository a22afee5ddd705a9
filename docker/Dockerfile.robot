# Runs on hardware, on the official ROS 2 Jazzy base: rclpy and the messages come from there, not from pip, and
# are compiled against NumPy 1.26, so NumPy stays below 2 and pip finds what goes with it.
#   docker build -f docker/Dockerfile.robot -t robot_rl:robot .
FROM ros:jazzy-ros-base

RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        libegl1 libgl1-mesa-dri libopengl0 libusb-1.0-0 python3-venv \
        ros-jazzy-rmw-fastrtps-cpp ros-jazzy-tf2-msgs ros-jazzy-trajectory-msgs ros-jazzy-visualization-msgs \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/robot_rl
COPY pyproject.toml setup.py setup.cfg package.xml constraints.txt README.md LICENSE ./
COPY resource resource
COPY scripts scripts
COPY launch launch
COPY cells cells
COPY controllers controllers
COPY tasks tasks
COPY calibration calibration
COPY benchmarks benchmarks
COPY robot_rl robot_rl
RUN python3 -m venv --system-site-packages /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir "numpy<2" ".[realsense,uvc]"

# `ros2 launch robot_rl train.launch.py` finds the package in the virtual environment's share and lib folders
ENV PATH=/opt/venv/bin:$PATH
ENV AMENT_PREFIX_PATH=/opt/venv:/opt/ros/jazzy
WORKDIR /root
# the base image's entry point sources /opt/ros/jazzy first
CMD ["robot-rl", "--help"]
