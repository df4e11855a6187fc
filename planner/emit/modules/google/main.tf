# Google machines of one region: reservations and GKE node pools for TPU and GPU.
# Arguments as in hashicorp/google and google-beta 6.50.

terraform {
  required_version = ">= 1.7"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.50, < 7.0"
    }
    google-beta = {
      source  = "hashicorp/google-beta"
      version = ">= 6.50, < 7.0"
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
    reservation  = optional(string)
    topology     = optional(string)
    zone         = optional(string)
    labels       = map(string)
    draft = optional(object({
      vm_family         = string
      accelerator_type  = string
      accelerator_count = number
      commitment_plan   = string
      start             = string
      end               = string
    }))
  }))
  validation {
    condition     = alltrue([for c in var.cells : c.machines > 0 && floor(c.machines) == c.machines])
    error_message = "Machines are whole and more than none."
  }
  validation {
    condition     = alltrue([for c in var.cells : contains(["immediate", "future_reservation", "spot", "none", "by_hand"], c.instrument)])
    error_message = "No such instrument on Google Cloud."
  }
}

variable "environment" {
  type = object({
    project  = string
    cluster  = string
    location = string
    zone     = string
  })
}

variable "reservations_delivered" {
  type = bool
}

locals {
  immediate = { for name, c in var.cells : name => c if c.instrument == "immediate" }
  drafts    = { for name, c in var.cells : name => c if c.instrument == "future_reservation" }
  awaited   = ["future_reservation", "by_hand"]
  groups    = { for name, c in var.cells : name => c if !contains(local.awaited, c.instrument) || var.reservations_delivered }
}

resource "google_compute_reservation" "immediate" {
  for_each                      = local.immediate
  name                          = each.key
  zone                          = coalesce(each.value.zone, var.environment.zone)
  specific_reservation_required = true

  specific_reservation {
    count = each.value.machines
    instance_properties {
      machine_type = each.value.machine_type
    }
  }
}

# A draft binds nobody. After the account team has agreed: submit it, then set reservations_delivered.
resource "google_compute_future_reservation" "draft" {
  for_each                      = local.drafts
  provider                      = google-beta
  name                          = each.key
  planning_status               = "DRAFT"
  reservation_name              = each.key
  specific_reservation_required = true

  time_window {
    start_time = each.value.draft.start
    end_time   = each.value.draft.end
  }

  commitment_info {
    commitment_name = each.key
    commitment_plan = each.value.draft.commitment_plan
  }

  aggregate_reservation {
    vm_family     = each.value.draft.vm_family
    workload_type = "SERVING"
    reserved_resources {
      accelerator {
        accelerator_count = each.value.draft.accelerator_count
        accelerator_type = join("/", [
          "projects", var.environment.project, "zones", coalesce(each.value.zone, var.environment.zone),
          "acceleratorTypes", each.value.draft.accelerator_type,
        ])
      }
    }
  }

  lifecycle {
    ignore_changes = [planning_status]
  }
}

resource "google_container_node_pool" "cell" {
  for_each       = local.groups
  name           = each.key
  cluster        = var.environment.cluster
  location       = var.environment.location
  node_locations = [coalesce(each.value.zone, var.environment.zone)]
  node_count     = each.value.machines
  depends_on     = [google_compute_reservation.immediate]

  node_config {
    machine_type = each.value.machine_type
    spot         = each.value.spot
    labels       = each.value.labels

    dynamic "reservation_affinity" {
      for_each = each.value.reservation == null ? [] : [each.value.reservation]
      content {
        consume_reservation_type = "SPECIFIC_RESERVATION"
        key                      = "compute.googleapis.com/reservation-name"
        values                   = [reservation_affinity.value]
      }
    }
  }

  dynamic "placement_policy" {
    for_each = each.value.topology == null ? [] : [each.value.topology]
    content {
      type         = "COMPACT"
      tpu_topology = placement_policy.value
    }
  }
}

output "machines" {
  description = "Machines of each node pool."
  value       = { for name, pool in google_container_node_pool.cell : name => pool.node_count }
}

output "reserved" {
  description = "Machines of each reservation that is made."
  value       = { for name, r in google_compute_reservation.immediate : name => r.specific_reservation[0].count }
}

output "drafted" {
  description = "Accelerators of each draft of a future reservation."
  value       = { for name, r in google_compute_future_reservation.draft : name => r.aggregate_reservation[0].reserved_resources[0].accelerator[0].accelerator_count }
}
