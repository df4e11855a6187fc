# Azure machines of one region: capacity reservations where the size has them, and AKS node pools.
# Arguments as in hashicorp/azurerm 4.55 and 5. ND sizes have no capacity reservation: their nodes run, or there are none.
#
# A platform team may call this module with cells and an environment of its own, and take the ids of the reservations
# from its outputs into modules of its own.

terraform {
  required_version = ">= 1.7"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.55, < 6.0"
    }
  }
}

variable "name" {
  type        = string
  description = "Of the capacity reservation group; one of a zone adds the zone."
}

variable "region" {
  type        = string
  description = "Location of all that is made."
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
    zone         = optional(string)
    short_name   = string
    labels       = map(string)
    tags         = map(string)
  }))
  description = <<-EOT
    Groups of machines by name, each made and scaled as one.
    pool, offer: what of the plan they are. machine_type: a VM size. machines: how many.
    instrument: immediate (a capacity reservation is made), spot, none. held: the machines are there already.
    zone: 1, 2 or 3; none, where the plan names none. short_name: of the node pool, at most 12 letters.
    labels, tags: of the nodes, and of all that is made.
  EOT
  validation {
    condition     = alltrue([for c in var.cells : c.machines > 0 && floor(c.machines) == c.machines])
    error_message = "Machines are whole and more than none."
  }
  validation {
    condition     = alltrue([for c in var.cells : contains(["immediate", "spot", "none"], c.instrument)])
    error_message = "No such instrument on Azure."
  }
  validation {
    condition     = alltrue([for c in var.cells : c.instrument != "immediate" || !startswith(c.machine_type, "Standard_ND")])
    error_message = "ND sizes have no capacity reservation."
  }
}

variable "environment" {
  type = object({
    kubernetes_cluster_id = string
    resource_group_name   = string
    zones                 = list(string)
    reservation_ids       = optional(map(string), {})
    make_groups_of_held   = optional(bool, false)
    most_machines         = optional(map(number), {})
    taints                = optional(list(string), [])
    root_volume_gib       = optional(number)
  })
  description = <<-EOT
    What the plan cannot know of the region.
    kubernetes_cluster_id, resource_group_name: the AKS cluster, and the group for reservations.
    zones: of cells whose zone the plan does not name; empty: regional. A reservation is of one zone: where there are several,
    it is in the first, and so are its nodes.
    reservation_ids: name of a cell -> id of the capacity reservation group that is there: none is made. Of cells that are
    held nothing at all is made then, unless make_groups_of_held: a node pool on that group.
    most_machines: name of a cell -> most machines to which an autoscaler may grow it; of all others the nodes are the plan's
    number.
    taints: of all nodes, as in sku=gpu:NoSchedule. root_volume_gib: of the disk of the system.
  EOT
}

locals {
  given     = var.environment.reservation_ids
  referred  = { for name, c in var.cells : name => c if c.held && contains(keys(local.given), name) && !var.environment.make_groups_of_held }
  immediate = { for name, c in var.cells : name => c if c.instrument == "immediate" && !contains(keys(local.given), name) }
  groups    = { for name, c in var.cells : name => c if !contains(keys(local.referred), name) }

  # A count that an autoscaler moves is not said: it stays what it is, and begins at the lower bound (azurerm provider,
  # azurerm_kubernetes_cluster_node_pool: node_count is computed).
  autoscaled = keys(var.environment.most_machines)

  # A reservation is of one zone, or of the region, and its nodes are where it is: empty is the region.
  first_zone = try(var.environment.zones[0], "")
  zone       = { for name, c in local.immediate : name => try(coalesce(c.zone, local.first_zone), "") }
  zones = {
    for name, c in local.groups : name => (
      contains(keys(local.zone), name) ? compact([local.zone[name]]) : c.zone != null ? [c.zone] : var.environment.zones
    )
  }
  group_ids = merge(
    { for name, id in local.given : name => id if contains(keys(var.cells), name) },
    { for name, zone in local.zone : name => azurerm_capacity_reservation_group.this[zone].id },
  )
}

resource "azurerm_capacity_reservation_group" "this" {
  for_each            = toset(values(local.zone))
  name                = each.key == "" ? var.name : "${var.name}-${each.key}"
  resource_group_name = var.environment.resource_group_name
  location            = var.region
  zones               = each.key == "" ? null : [each.key]
}

resource "azurerm_capacity_reservation" "immediate" {
  for_each                      = local.immediate
  name                          = each.key
  capacity_reservation_group_id = azurerm_capacity_reservation_group.this[local.zone[each.key]].id
  zone                          = local.zone[each.key] == "" ? null : local.zone[each.key]
  tags                          = each.value.tags

  sku {
    name     = each.value.machine_type
    capacity = each.value.machines
  }
}

resource "azurerm_kubernetes_cluster_node_pool" "cell" {
  for_each                      = local.groups
  name                          = each.value.short_name
  kubernetes_cluster_id         = var.environment.kubernetes_cluster_id
  vm_size                       = each.value.machine_type
  node_count                    = contains(local.autoscaled, each.key) ? null : each.value.machines
  auto_scaling_enabled          = contains(local.autoscaled, each.key)
  min_count                     = !contains(local.autoscaled, each.key) ? null : each.value.spot ? 0 : each.value.machines
  max_count                     = !contains(local.autoscaled, each.key) ? null : max(each.value.machines, var.environment.most_machines[each.key])
  zones                         = length(local.zones[each.key]) > 0 ? local.zones[each.key] : null
  priority                      = each.value.spot ? "Spot" : "Regular"
  eviction_policy               = each.value.spot ? "Delete" : null
  spot_max_price                = each.value.spot ? -1 : null
  capacity_reservation_group_id = lookup(local.group_ids, each.key, null)
  os_disk_size_gb               = var.environment.root_volume_gib
  node_taints                   = length(var.environment.taints) > 0 ? var.environment.taints : null
  node_labels                   = each.value.labels
  tags                          = each.value.tags
  depends_on                    = [azurerm_capacity_reservation.immediate]
}

output "machines" {
  description = "Machines of each node pool."
  value       = { for name, pool in azurerm_kubernetes_cluster_node_pool.cell : name => pool.node_count }
}

output "reserved" {
  description = "Machines of each reservation."
  value       = { for name, r in azurerm_capacity_reservation.immediate : name => r.sku[0].capacity }
}

output "referred" {
  description = "Machines that are held on a reservation that was named: nothing is made for them."
  value       = { for name, c in local.referred : name => c.machines }
}

output "reservation_ids" {
  description = "Id of the capacity reservation group of each cell that has one, made here or named."
  value       = local.group_ids

  precondition {
    condition     = alltrue([for name in keys(local.given) : contains(keys(var.cells), name)])
    error_message = "environment.reservation_ids: a name that is no cell's."
  }
  precondition {
    condition     = alltrue([for name in keys(var.environment.most_machines) : contains(keys(var.cells), name)])
    error_message = "environment.most_machines: a name that is no cell's."
  }
}
