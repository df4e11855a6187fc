"""Arguments that the modules use, by block, as the providers' own schemas have them.

Source: `terraform providers schema -json` of hashicorp/aws 5.100.0; for hashicorp/google and google-beta 6.50.0 and
hashicorp/azurerm 4.55.0 the CDKTF provider packages of the same versions; taken 2026-11-22.
"""

ARGUMENTS: dict[str, set[str]] = {
    "aws_ec2_capacity_reservation": {
        "availability_zone", "instance_type", "instance_platform", "instance_count", "instance_match_criteria",
        "end_date_type", "placement_group_arn", "tags",
    },
    "aws_placement_group": {"name", "strategy", "tags"},
    "data.aws_ec2_capacity_block_offering": {
        "instance_type", "instance_count", "capacity_duration_hours", "start_date_range", "end_date_range",
    },
    "aws_ec2_capacity_block_reservation": {"capacity_block_offering_id", "instance_platform", "tags"},
    "aws_launch_template": {"name", "instance_type", "tags"},
    "aws_launch_template.instance_market_options": {"market_type"},
    "aws_launch_template.capacity_reservation_specification.capacity_reservation_target": {"capacity_reservation_id"},
    "aws_launch_template.placement": {"group_name"},
    "aws_launch_template.block_device_mappings": {"device_name"},
    "aws_launch_template.block_device_mappings.ebs": {
        "volume_size", "volume_type", "encrypted", "delete_on_termination",
    },
    "aws_launch_template.network_interfaces": {
        "network_card_index", "device_index", "interface_type", "security_groups",
    },
    "aws_eks_node_group": {
        "cluster_name", "node_group_name", "node_role_arn", "subnet_ids", "ami_type", "capacity_type", "labels", "tags",
    },
    "aws_eks_node_group.launch_template": {"id", "version"},
    "aws_eks_node_group.scaling_config": {"min_size", "max_size", "desired_size"},
    "aws_eks_node_group.taint": {"key", "value", "effect"},
    "google_compute_reservation": {"name", "zone", "specific_reservation_required"},
    "google_compute_reservation.specific_reservation": {"count"},
    "google_compute_reservation.specific_reservation.instance_properties": {"machine_type"},
    "google_compute_future_reservation": {
        "name", "planning_status", "reservation_name", "specific_reservation_required",
    },
    "google_compute_future_reservation.time_window": {"start_time", "end_time"},
    "google_compute_future_reservation.commitment_info": {"commitment_name", "commitment_plan"},
    "google_compute_future_reservation.aggregate_reservation": {"vm_family", "workload_type"},
    "google_compute_future_reservation.aggregate_reservation.reserved_resources.accelerator": {
        "accelerator_count", "accelerator_type",
    },
    "google_container_node_pool": {
        "name", "cluster", "location", "node_locations", "node_count", "initial_node_count",
    },
    "google_container_node_pool.autoscaling": {"total_min_node_count", "total_max_node_count", "location_policy"},
    "google_container_node_pool.node_config": {"machine_type", "spot", "labels", "disk_size_gb"},
    "google_container_node_pool.node_config.taint": {"key", "value", "effect"},
    "google_container_node_pool.node_config.reservation_affinity": {"consume_reservation_type", "key", "values"},
    "google_container_node_pool.placement_policy": {"type", "tpu_topology"},
    "azurerm_capacity_reservation_group": {"name", "resource_group_name", "location", "zones"},
    "azurerm_capacity_reservation": {"name", "capacity_reservation_group_id", "zone", "tags"},
    "azurerm_capacity_reservation.sku": {"name", "capacity"},
    "azurerm_kubernetes_cluster_node_pool": {
        "name", "kubernetes_cluster_id", "vm_size", "node_count", "zones", "priority", "eviction_policy",
        "spot_max_price", "capacity_reservation_group_id", "node_labels", "tags", "auto_scaling_enabled", "min_count",
        "max_count", "os_disk_size_gb", "node_taints",
    },
}  # fmt: skip
