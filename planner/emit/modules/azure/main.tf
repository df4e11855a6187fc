# Azure machines of one region: capacity reservations where the size has them, and AKS node pools.
# Arguments as in hashicorp/azurerm 4.55. ND sizes have no capacity reservation: their nodes run, or there are none.

terraform {
  required_version = ">= 1.7"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.55, < 5.0"
    }
  }
}

variable "name" {
  type = string
}

variable "region" {
  type = string
}

variable "cells" {
  type = map(object({
    pool         = string
    offer        = string
    machine_type = string
    machines     = number
    instrument   = string
    spot         = bool
    zone         = optional(string)
    short_name   = string
    labels       = map(string)
    tags         = map(string)
  }))
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
  })
}

locals {
  immediate = { for name, c in var.cells : name => c if c.instrument == "immediate" }
}

resource "azurerm_capacity_reservation_group" "this" {
  count               = length(local.immediate) > 0 ? 1 : 0
  name                = var.name
  resource_group_name = var.environment.resource_group_name
  location            = var.region
  zones               = length(var.environment.zones) > 0 ? var.environment.zones : null
}

resource "azurerm_capacity_reservation" "immediate" {
  for_each                      = local.immediate
  name                          = each.key
  capacity_reservation_group_id = azurerm_capacity_reservation_group.this[0].id
  zone                          = each.value.zone
  tags                          = each.value.tags

  sku {
    name     = each.value.machine_type
    capacity = each.value.machines
  }
}

resource "azurerm_kubernetes_cluster_node_pool" "cell" {
  for_each                      = var.cells
  name                          = each.value.short_name
  kubernetes_cluster_id         = var.environment.kubernetes_cluster_id
  vm_size                       = each.value.machine_type
  node_count                    = each.value.machines
  zones                         = length(var.environment.zones) > 0 ? var.environment.zones : null
  priority                      = each.value.spot ? "Spot" : "Regular"
  eviction_policy               = each.value.spot ? "Delete" : null
  spot_max_price                = each.value.spot ? -1 : null
  capacity_reservation_group_id = each.value.instrument == "immediate" ? azurerm_capacity_reservation_group.this[0].id : null
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
