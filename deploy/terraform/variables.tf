variable "name" {
  description = "Name of the queue, as in sqs://name; also the prefix of roles and policies."
  type        = string
  default     = "postrider"
  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,50}$", var.name))
    error_message = "Use 1 to 50 of A-Z a-z 0-9 _ -."
  }
}

variable "bucket" {
  description = "Name of the bucket for payloads."
  type        = string
}

variable "prefix" {
  description = "Where payloads lie in the bucket, as in s3://bucket/prefix; \"\" is the whole bucket."
  type        = string
  default     = "payloads"
  validation {
    condition     = !startswith(var.prefix, "/") && !endswith(var.prefix, "/")
    error_message = "Write it without slashes at its ends."
  }
}

variable "attempt_timeout_seconds" {
  description = "--timeout of the dispatchers. A message is invisible for twice this and 30 s."
  type        = number
  default     = 15
}

variable "payload_retention_days" {
  description = "--payload-retention, in days; objects expire no earlier."
  type        = number
  default     = 30
  validation {
    condition     = var.payload_retention_days >= 8
    error_message = "At least 8 days: longer than any retry can want a payload."
  }
}

variable "oidc_provider_arn" {
  description = "IAM OIDC provider of the EKS cluster; null makes policies only, and no roles."
  type        = string
  default     = null
}

variable "namespace" {
  description = "Kubernetes namespace of the release."
  type        = string
  default     = "postrider"
}

variable "release" {
  description = "Full name of the Helm release's objects: service accounts are RELEASE-ROLE."
  type        = string
  default     = "postrider"
}

variable "msk" {
  description = "Where MSK authenticates by IAM: the cluster's NAME/UUID, topics and groups. null elsewhere."
  type = object({
    cluster        = string
    events         = string
    dead           = string
    outcomes       = string
    events_group   = string
    outcomes_group = string
  })
  default = null
}

variable "tags" {
  type    = map(string)
  default = {}
}
