# Written once, the same for every plan. What the plan decides is in plan.auto.tfvars.json; what it cannot know (clusters,
# subnets, zones) is yours: environment.example.json shows the form, environment.auto.tfvars.json is read.

variable "aws" {
  description = "Machines of the plan by region."
  type = map(object({
    region = string
    cells = map(object({
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
  }))
  default = {}
}

variable "aws_environment" {
  description = "Of each region: the EKS cluster, the role of its nodes, subnets, and the zone for pools whose zone the plan does not name."
  type = map(object({
    cluster_name      = string
    node_role_arn     = string
    subnet_ids        = list(string)
    availability_zone = string
  }))
  default = {}
}

variable "google" {
  description = "Machines of the plan by region."
  type = map(object({
    region = string
    cells = map(object({
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
  }))
  default = {}
}

variable "google_environment" {
  description = "Of each region: the project, the GKE cluster with its location, and the zone for pools whose zone the plan does not name."
  type = map(object({
    project  = string
    cluster  = string
    location = string
    zone     = string
  }))
  default = {}
}

variable "azure" {
  description = "Machines of the plan by region."
  type = map(object({
    region = string
    cells = map(object({
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
  }))
  default = {}
}

variable "azure_environment" {
  description = "Of each region: the AKS cluster, its resource group, and zones (empty: none asked for)."
  type = map(object({
    kubernetes_cluster_id = string
    resource_group_name   = string
    zones                 = list(string)
  }))
  default = {}
}

variable "purchase_capacity_blocks" {
  description = "Buy the EC2 Capacity Blocks of the plan. They are paid upfront and can be neither changed nor cancelled."
  type        = bool
  default     = false
}

variable "capacity_blocks_active" {
  description = "The window of the Capacity Blocks has begun: their node groups get their machines."
  type        = bool
  default     = false
}

variable "reservations_delivered" {
  description = "Google has delivered the future reservations: node pools that consume them are made."
  type        = bool
  default     = false
}
