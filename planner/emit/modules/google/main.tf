# Google machines of one region: reservations and GKE node pools for TPU and GPU.
# Arguments as in hashicorp/google and google-beta 6.50 and 7.
#
# A platform team may call this module with cells and an environment of its own, and take the names of the reservations
# from its outputs into modules of its own.

terraform {
  required_version = ">= 1.7"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.50, < 8.0"
    }
    google-beta = {
      source  = "hashicorp/google-beta"
      version = ">= 6.50, < 8.0"
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
  description = <<-EOT
    Groups of machines by name, each made and scaled as one.
    pool, offer: what of the plan they are. machine_type: of Compute Engine. machines: how many.
    instrument: immediate (a reservation is made), future_reservation (a draft is made), by_hand (the account team makes a
    reservation of the name `reservation`), spot, none. held: the machines are there already.
    reservation: name that its nodes ask for. topology: of a TPU slice. zone: none, where the plan names none.
    labels: of the nodes. draft: what the future reservation asks for.
  EOT
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
    project             = string
    cluster             = string
    location            = string
    zone                = string
    reservation_ids     = optional(map(string), {})
    make_groups_of_held = optional(bool, false)
    most_machines       = optional(map(number), {})
    taints              = optional(list(object({ key = string, value = string, effect = string })), [])
    root_volume_gib     = optional(number)
  })
  description = <<-EOT
    What the plan cannot know of the region.
    project, cluster, location: of the GKE cluster. zone: of cells whose zone the plan does not name.
    reservation_ids: name of a cell -> reservation that is there (its name; projects/P/reservations/R where another project
    shares it): none is made or drafted, and its nodes are there at once. Of cells that are held nothing at all is made then,
    unless make_groups_of_held: a node pool on that reservation.
    most_machines: name of a cell -> most machines to which an autoscaler may grow it; of all others the nodes are the plan's
    number.
    taints: of all nodes (effect NO_SCHEDULE, PREFER_NO_SCHEDULE, NO_EXECUTE). root_volume_gib: of the boot disk.
  EOT
}

variable "reservations_delivered" {
  type        = bool
  default     = false
  description = "Google has delivered the future reservations and those by hand: node pools that consume them are made."
}

locals {
  given     = var.environment.reservation_ids
  referred  = { for name, c in var.cells : name => c if c.held && contains(keys(local.given), name) && !var.environment.make_groups_of_held }
  immediate = { for name, c in var.cells : name => c if c.instrument == "immediate" && !contains(keys(local.given), name) }
  drafts    = { for name, c in var.cells : name => c if c.instrument == "future_reservation" && !contains(keys(local.given), name) }
  awaited   = ["future_reservation", "by_hand"]
  delivered = { for name, c in var.cells : name => c if !contains(local.awaited, c.instrument) || contains(keys(local.given), name) || var.reservations_delivered }
  groups    = { for name, c in local.delivered : name => c if !contains(keys(local.referred), name) }

  # A count that an autoscaler moves is not said: it stays what it is (google provider, node_count: not beside autoscaling).
  autoscaled = keys(var.environment.most_machines)

  # the reservation that a node pool asks for: one that is named, or the one of its cell
  reservations = {
    for name, c in var.cells : name => lookup(local.given, name, c.reservation) if contains(keys(local.given), name) || c.reservation != null
  }
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
  for_each           = local.groups
  name               = each.key
  cluster            = var.environment.cluster
  location           = var.environment.location
  node_locations     = [coalesce(each.value.zone, var.environment.zone)]
  node_count         = contains(local.autoscaled, each.key) ? null : each.value.machines
  initial_node_count = contains(local.autoscaled, each.key) ? each.value.machines : null
  depends_on         = [google_compute_reservation.immediate]

  dynamic "autoscaling" {
    for_each = contains(local.autoscaled, each.key) ? [var.environment.most_machines[each.key]] : []
    content {
      total_min_node_count = each.value.spot ? 0 : each.value.machines
      total_max_node_count = max(each.value.machines, autoscaling.value)
      location_policy      = "ANY"
    }
  }

  node_config {
    machine_type = each.value.machine_type
    spot         = each.value.spot
    labels       = each.value.labels
    disk_size_gb = var.environment.root_volume_gib

    dynamic "taint" {
      for_each = var.environment.taints
      content {
        key    = taint.value.key
        value  = taint.value.value
        effect = taint.value.effect
      }
    }

    dynamic "reservation_affinity" {
      for_each = contains(keys(local.reservations), each.key) ? [local.reservations[each.key]] : []
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

  # of how it began: another number would make the pool anew
  lifecycle {
    ignore_changes = [initial_node_count]
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

output "referred" {
  description = "Machines that are held on a reservation that was named: nothing is made for them."
  value       = { for name, c in local.referred : name => c.machines }
}

output "reservation_ids" {
  description = "Name of the reservation of each cell that has one, or is to have one: made here, named, or by hand."
  value       = local.reservations

  precondition {
    condition     = alltrue([for name in keys(local.given) : contains(keys(var.cells), name)])
    error_message = "environment.reservation_ids: a name that is no cell's."
  }
  precondition {
    condition     = alltrue([for name in keys(var.environment.most_machines) : contains(keys(var.cells), name)])
    error_message = "environment.most_machines: a name that is no cell's."
  }
}
