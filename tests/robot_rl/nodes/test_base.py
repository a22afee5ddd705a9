import pytest

pytest.importorskip("rclpy")


def test_a_fault_in_further_nodes_that_are_served_ends_the_process_too(host):
    from rclpy.executors import MultiThreadedExecutor
    from rclpy.node import Node

    from robot_rl.nodes.base import Services

    made = host("arm")
    other = Node("controller_manager", context=made.node.context)

    def fail():
        raise ZeroDivisionError("a timer")

    other.create_timer(0.01, fail)
    services = Services(made, [other], MultiThreadedExecutor(2, context=made.node.context))
    with pytest.raises(KeyboardInterrupt):
        made.listener.sleep(30.0)
    services.end()
    other.destroy_node()
    assert isinstance(made.fault, ZeroDivisionError)
