# AWS machines of one region: reservations, launch templates and EKS node groups.
# Arguments as in hashicorp/aws 5.100.

terraform {
  required_version = ">= 1.7"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 6.0"
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
    cluster_name      = string
    node_role_arn     = string
    subnet_ids        = list(string)
    availability_zone = string
  })
}

variable "purchase_capacity_blocks" {
  type = bool
}

variable "capacity_blocks_active" {
  type = bool
}

locals {
  immediate = { for name, c in var.cells : name => c if c.instrument == "immediate" }
  blocks    = { for name, c in var.cells : name => c if c.instrument == "capacity_block" && var.purchase_capacity_blocks }
  groups    = { for name, c in var.cells : name => c if c.instrument != "capacity_block" || var.purchase_capacity_blocks }
}

resource "aws_ec2_capacity_reservation" "immediate" {
  for_each                = local.immediate
  availability_zone       = coalesce(each.value.zone, var.environment.availability_zone)
  instance_type           = each.value.machine_type
  instance_platform       = "Linux/UNIX"
  instance_count          = each.value.machines
  instance_match_criteria = "targeted"
  end_date_type           = "unlimited"
  tags                    = each.value.tags
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
    for_each = contains(["immediate", "capacity_block"], each.value.instrument) ? [1] : []
    content {
      capacity_reservation_target {
        capacity_reservation_id = (
          each.value.instrument == "immediate"
          ? aws_ec2_capacity_reservation.immediate[each.key].id
          : aws_ec2_capacity_block_reservation.block[each.key].id
        )
      }
    }
  }
}

resource "aws_eks_node_group" "cell" {
  for_each        = local.groups
  cluster_name    = var.environment.cluster_name
  node_group_name = each.key
  node_role_arn   = var.environment.node_role_arn
  subnet_ids      = var.environment.subnet_ids
  ami_type        = each.value.neuron ? "AL2023_x86_64_NEURON" : "AL2023_x86_64_NVIDIA"
  capacity_type   = each.value.spot ? "SPOT" : each.value.instrument == "capacity_block" ? "CAPACITY_BLOCK" : "ON_DEMAND"
  labels          = each.value.labels
  tags            = each.value.tags

  launch_template {
    id      = aws_launch_template.cell[each.key].id
    version = aws_launch_template.cell[each.key].latest_version
  }

  scaling_config {
    min_size     = each.value.instrument == "capacity_block" ? 0 : each.value.machines
    max_size     = each.value.machines
    desired_size = each.value.instrument == "capacity_block" && !var.capacity_blocks_active ? 0 : each.value.machines
  }
}

output "machines" {
  description = "Machines of each group of nodes."
  value       = { for name, group in aws_eks_node_group.cell : name => group.scaling_config[0].desired_size }
}

output "reserved" {
  description = "Machines of each reservation."
  value = merge(
    { for name, r in aws_ec2_capacity_reservation.immediate : name => r.instance_count },
    { for name, r in aws_ec2_capacity_block_reservation.block : name => data.aws_ec2_capacity_block_offering.block[name].instance_count },
  )
}
