# AWS machines of one region: reservations, launch templates and EKS node groups.
# Arguments as in hashicorp/aws 5.100 and 6.
#
# A platform team may call this module with cells and an environment of its own, and take the ids of the reservations
# from its outputs into modules of its own.

terraform {
  required_version = ">= 1.7"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

variable "cells" {
  type = map(object({
    pool         = string
    offer        = string
    machine_type = string
    machines     = number
    instrument   = string
    spot         = bool
    held         = optional(bool, false)
    neuron       = bool
    zone         = optional(string)
    labels       = map(string)
    tags         = map(string)
    window = optional(object({
      hours = number
      start = string
      end   = string
    }))
  }))
  description = <<-EOT
    Groups of machines by name, each made and scaled as one.
    pool, offer: what of the plan they are. machine_type: an EC2 instance type. machines: how many.
    instrument: immediate (an On-Demand Capacity Reservation is made), capacity_block (bought when opted in), spot, none.
    held: the machines are there already. neuron: the image is that for Neuron. zone: none, where the plan names none.
    labels, tags: of the nodes, and of all that is made. window: hours and dates of a Capacity Block.
  EOT
  validation {
    condition     = alltrue([for c in var.cells : c.machines > 0 && floor(c.machines) == c.machines])
    error_message = "Machines are whole and more than none."
  }
  validation {
    condition     = alltrue([for c in var.cells : contains(["immediate", "capacity_block", "spot", "none"], c.instrument)])
    error_message = "No such instrument on AWS."
  }
  validation {
    condition     = alltrue([for c in var.cells : c.instrument != "capacity_block" || contains([1, 2, 4, 8, 16, 32, 64], c.machines)])
    error_message = "A Capacity Block has 1, 2, 4, 8, 16, 32 or 64 instances."
  }
}

variable "environment" {
  type = object({
    cluster_name        = string
    node_role_arn       = string
    subnet_ids          = list(string)
    availability_zone   = string
    zone_names          = optional(map(string), {})
    subnet_ids_by_zone  = optional(map(list(string)), {})
    reservation_ids     = optional(map(string), {})
    make_groups_of_held = optional(bool, false)
    most_machines       = optional(map(number), {})
    least_machines      = optional(map(number), {})
    taints              = optional(list(object({ key = string, value = optional(string), effect = string })), [])
    root_volume_gib     = optional(number)
    placement_groups    = optional(bool, false)
    efa_interfaces      = optional(map(number), {})
    security_group_ids  = optional(list(string), [])
  })
  description = <<-EOT
    What the plan cannot know of the region.
    cluster_name, node_role_arn: the EKS cluster, and the role of its nodes.
    availability_zone: for reservations of cells whose zone the plan does not name.
    zone_names: id of a zone, where a cell says that (use1-az1) -> what this account calls it (us-east-1a), as
    aws ec2 describe-availability-zones has it.
    subnet_ids_by_zone: name of a zone -> subnets; machines of a reservation start in those of its zone. subnet_ids: all others.
    reservation_ids: name of a cell -> id of its Capacity Reservation that is there: none is made or bought. Of cells that
    are held nothing at all is made then, unless make_groups_of_held: a group of nodes on that reservation.
    most_machines: name of a cell -> most machines to which an autoscaler may grow it; of all others the nodes are the plan's
    number. least_machines: name of such a cell -> lower bound of its autoscaler, at most what runs and the plan's number; 0.
    taints: of all nodes (effect NO_SCHEDULE, PREFER_NO_SCHEDULE, NO_EXECUTE). root_volume_gib: gp3, encrypted.
    placement_groups: a cluster placement group for each reservation that is made here, and its nodes.
    efa_interfaces: machine type -> network cards with EFA; security_group_ids: of nodes with EFA, all traffic among them.
  EOT
}

variable "purchase_capacity_blocks" {
  type        = bool
  default     = false
  description = "Buy the Capacity Blocks: paid upfront, neither changed nor cancelled."
}

variable "capacity_blocks_active" {
  type        = bool
  default     = false
  description = "The window of the Capacity Blocks has begun: their groups of nodes are there until this is false again."
}

locals {
  given     = var.environment.reservation_ids
  referred  = { for name, c in var.cells : name => c if c.held && contains(keys(local.given), name) && !var.environment.make_groups_of_held }
  immediate = { for name, c in var.cells : name => c if c.instrument == "immediate" && !contains(keys(local.given), name) }
  blocks    = { for name, c in var.cells : name => c if c.instrument == "capacity_block" && !contains(keys(local.given), name) && var.purchase_capacity_blocks }
  bought    = { for name, c in var.cells : name => c if c.instrument != "capacity_block" || contains(keys(local.given), name) || var.purchase_capacity_blocks }
  groups    = { for name, c in local.bought : name => c if !contains(keys(local.referred), name) && (c.instrument != "capacity_block" || var.capacity_blocks_active) }
  placed    = { for name, c in local.immediate : name => c if var.environment.placement_groups }

  # each group of nodes is in one of these
  managed    = { for name, c in local.groups : name => c if !contains(keys(var.environment.most_machines), name) }
  autoscaled = { for name, c in local.groups : name => c if contains(keys(var.environment.most_machines), name) }

  reservation_ids = merge(
    { for name, id in local.given : name => id if contains(keys(var.cells), name) },
    { for name, r in aws_ec2_capacity_reservation.immediate : name => r.id },
    { for name, r in aws_ec2_capacity_block_reservation.block : name => r.id },
  )
  cell_zones = { for name, c in var.cells : name => lookup(var.environment.zone_names, c.zone, c.zone) if c.zone != null }
  # machines of a reservation can start in its zone only; a Capacity Block is where its offering was
  zones = merge(
    local.cell_zones,
    { for name, r in aws_ec2_capacity_reservation.immediate : name => r.availability_zone },
    { for name, r in aws_ec2_capacity_block_reservation.block : name => r.availability_zone },
  )
  subnet_ids = {
    for name, c in local.groups : name => lookup(var.environment.subnet_ids_by_zone, try(coalesce(local.zones[name]), ""), var.environment.subnet_ids)
  }
  efa = { for name, c in local.groups : name => lookup(var.environment.efa_interfaces, c.machine_type, 0) }
}

resource "aws_placement_group" "cell" {
  for_each = local.placed
  name     = each.key
  strategy = "cluster"
  tags     = each.value.tags
}

resource "aws_ec2_capacity_reservation" "immediate" {
  for_each                = local.immediate
  availability_zone       = lookup(local.cell_zones, each.key, var.environment.availability_zone)
  instance_type           = each.value.machine_type
  instance_platform       = "Linux/UNIX"
  instance_count          = each.value.machines
  instance_match_criteria = "targeted"
  end_date_type           = "unlimited"
  placement_group_arn     = var.environment.placement_groups ? aws_placement_group.cell[each.key].arn : null
  tags                    = each.value.tags

  lifecycle {
    precondition {
      condition     = !can(regex("-az[0-9]+$", lookup(local.cell_zones, each.key, "")))
      error_message = "The plan names the zone by its id: add the name that this account has for it to zone_names."
    }
  }
}

data "aws_ec2_capacity_block_offering" "block" {
  for_each                = local.blocks
  instance_type           = each.value.machine_type
  instance_count          = each.value.machines
  capacity_duration_hours = each.value.window.hours
  start_date_range        = each.value.window.start
  end_date_range          = each.value.window.end
}

# Paid upfront; destroying it only forgets it. The offering is another one at every plan: it must not be bought again.
resource "aws_ec2_capacity_block_reservation" "block" {
  for_each                   = local.blocks
  capacity_block_offering_id = data.aws_ec2_capacity_block_offering.block[each.key].capacity_block_offering_id
  instance_platform          = "Linux/UNIX"
  tags                       = each.value.tags

  lifecycle {
    prevent_destroy = true
    ignore_changes  = [capacity_block_offering_id]
  }
}

resource "aws_launch_template" "cell" {
  for_each      = local.groups
  name          = each.key
  instance_type = each.value.machine_type
  tags          = each.value.tags

  dynamic "instance_market_options" {
    for_each = each.value.instrument == "capacity_block" ? [1] : []
    content {
      market_type = "capacity-block"
    }
  }

  dynamic "capacity_reservation_specification" {
    for_each = contains(["immediate", "capacity_block"], each.value.instrument) || contains(keys(local.given), each.key) ? [1] : []
    content {
      capacity_reservation_target {
        capacity_reservation_id = local.reservation_ids[each.key]
      }
    }
  }

  dynamic "placement" {
    for_each = contains(keys(local.placed), each.key) ? [1] : []
    content {
      group_name = aws_placement_group.cell[each.key].name
    }
  }

  dynamic "block_device_mappings" {
    for_each = var.environment.root_volume_gib == null ? [] : [var.environment.root_volume_gib]
    content {
      device_name = "/dev/xvda"
      ebs {
        volume_size           = block_device_mappings.value
        volume_type           = "gp3"
        encrypted             = "true"
        delete_on_termination = "true"
      }
    }
  }

  # The first interface is an ordinary one; each network card then has one for EFA alone.
  dynamic "network_interfaces" {
    for_each = local.efa[each.key] > 0 ? range(local.efa[each.key] + 1) : []
    content {
      network_card_index = max(network_interfaces.value - 1, 0)
      device_index       = network_interfaces.value == 1 ? 1 : 0
      interface_type     = network_interfaces.value == 0 ? "interface" : "efa-only"
      security_groups    = var.environment.security_group_ids
    }
  }
}

# Nodes that no autoscaler moves: as many as the plan says, and as a later plan says.
resource "aws_eks_node_group" "cell" {
  for_each        = local.managed
  cluster_name    = var.environment.cluster_name
  node_group_name = each.key
  node_role_arn   = var.environment.node_role_arn
  subnet_ids      = local.subnet_ids[each.key]
  ami_type        = each.value.neuron ? "AL2023_x86_64_NEURON" : "AL2023_x86_64_NVIDIA"
  capacity_type   = each.value.spot ? "SPOT" : each.value.instrument == "capacity_block" ? "CAPACITY_BLOCK" : "ON_DEMAND"
  labels          = each.value.labels
  tags            = each.value.tags

  launch_template {
    id      = aws_launch_template.cell[each.key].id
    version = aws_launch_template.cell[each.key].latest_version
  }

  scaling_config {
    min_size     = each.value.spot ? 0 : each.value.machines
    max_size     = each.value.machines
    desired_size = each.value.machines
  }

  dynamic "taint" {
    for_each = var.environment.taints
    content {
      key    = taint.value.key
      value  = taint.value.value
      effect = taint.value.effect
    }
  }
}

# Nodes that an autoscaler moves. What is ignored cannot depend on a variable, so these are a resource of their own.
# The lower bound is 0 unless least_machines says more: desired_size is what runs, and EKS refuses a bound above it
# ("Minimum capacity 20 can't be greater than desired size 16"), so a lower bound that followed the plan could not grow.
resource "aws_eks_node_group" "autoscaled" {
  for_each        = local.autoscaled
  cluster_name    = var.environment.cluster_name
  node_group_name = each.key
  node_role_arn   = var.environment.node_role_arn
  subnet_ids      = local.subnet_ids[each.key]
  ami_type        = each.value.neuron ? "AL2023_x86_64_NEURON" : "AL2023_x86_64_NVIDIA"
  capacity_type   = each.value.spot ? "SPOT" : each.value.instrument == "capacity_block" ? "CAPACITY_BLOCK" : "ON_DEMAND"
  labels          = each.value.labels
  tags            = each.value.tags

  launch_template {
    id      = aws_launch_template.cell[each.key].id
    version = aws_launch_template.cell[each.key].latest_version
  }

  scaling_config {
    min_size     = each.value.spot ? 0 : min(each.value.machines, lookup(var.environment.least_machines, each.key, 0))
    max_size     = max(each.value.machines, var.environment.most_machines[each.key])
    desired_size = each.value.machines
  }

  dynamic "taint" {
    for_each = var.environment.taints
    content {
      key    = taint.value.key
      value  = taint.value.value
      effect = taint.value.effect
    }
  }

  lifecycle {
    ignore_changes = [scaling_config[0].desired_size]
  }
}

output "machines" {
  description = "Machines of each group of nodes."
  value       = { for name, group in merge(aws_eks_node_group.cell, aws_eks_node_group.autoscaled) : name => group.scaling_config[0].desired_size }
}

output "reserved" {
  description = "Machines of each reservation."
  value = merge(
    { for name, r in aws_ec2_capacity_reservation.immediate : name => r.instance_count },
    { for name, r in aws_ec2_capacity_block_reservation.block : name => data.aws_ec2_capacity_block_offering.block[name].instance_count },
  )
}

output "referred" {
  description = "Machines that are held on a reservation that was named: nothing is made for them."
  value       = { for name, c in local.referred : name => c.machines }
}

output "reservation_ids" {
  description = "Id of the Capacity Reservation of each cell that has one, made here or named."
  value       = local.reservation_ids

  precondition {
    condition     = alltrue([for name in keys(local.given) : contains(keys(var.cells), name)])
    error_message = "environment.reservation_ids: a name that is no cell's."
  }
  precondition {
    condition     = alltrue([for name in keys(var.environment.most_machines) : contains(keys(var.cells), name)])
    error_message = "environment.most_machines: a name that is no cell's."
  }
  precondition {
    condition     = alltrue([for name in keys(var.environment.least_machines) : contains(keys(var.environment.most_machines), name)])
    error_message = "environment.least_machines: a name that is not in most_machines."
  }
}
