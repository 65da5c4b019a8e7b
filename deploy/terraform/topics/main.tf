# Topics of Kafka, on MSK or elsewhere. The provider is configured by whoever uses this module.
terraform {
  required_version = ">= 1.6"
  required_providers {
    kafka = {
      source  = "Mongey/kafka"
      version = ">= 0.8"
    }
  }
}

variable "events" {
  description = "Topic of the events."
  type        = string
  default     = "events"
}

variable "outcomes" {
  description = "Topic of the outcomes."
  type        = string
  default     = "outcomes"
}

variable "event_partitions" {
  description = "At most so many consumers share the work. Raising it later moves keys to other partitions, which Postrider does not mind."
  type        = number
  default     = 24
}

variable "outcome_partitions" {
  description = "At most so many archivers share the work."
  type        = number
  default     = 12
}

variable "replication" {
  type    = number
  default = 3
}

variable "event_retention_hours" {
  description = "How long events can be replayed: the processes want the same as --event-retention, or warn. At least 8 days: longer than any retry."
  type        = number
  default     = 336
  validation {
    condition     = var.event_retention_hours >= 192
    error_message = "At least 192 hours: longer than any retry can want an event."
  }
}

variable "max_payload_bytes" {
  description = "--max-payload; the topic takes it and 16 KiB of headers and framing."
  type        = number
  default     = 16 * 1024 * 1024
}

locals {
  durable = {
    "cleanup.policy"      = "delete"
    "min.insync.replicas" = tostring(max(var.replication - 1, 1)) # acks=all outlives the loss of a broker
  }
  big = { "max.message.bytes" = tostring(var.max_payload_bytes + 16 * 1024) }
}

resource "kafka_topic" "events" {
  name               = var.events
  partitions         = var.event_partitions
  replication_factor = var.replication
  config             = merge(local.durable, local.big, { "retention.ms" = tostring(var.event_retention_hours * 3600 * 1000) })
}

resource "kafka_topic" "dead" {
  name               = "${var.events}-dead"
  partitions         = 3
  replication_factor = var.replication
  config             = merge(local.durable, local.big, { "retention.ms" = tostring(30 * 24 * 3600 * 1000) })
}

# The broker's timestamps keep each partition in order of time, so that the archive knows up to when it is whole.
resource "kafka_topic" "outcomes" {
  name               = var.outcomes
  partitions         = var.outcome_partitions
  replication_factor = var.replication
  config = merge(local.durable, {
    "retention.ms"           = tostring(7 * 24 * 3600 * 1000)
    "message.timestamp.type" = "LogAppendTime"
  })
}

output "events" {
  value = kafka_topic.events.name
}

output "outcomes" {
  value = kafka_topic.outcomes.name
}
