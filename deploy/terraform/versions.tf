terraform {
  required_version = ">= 1.6"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.9" # queues with messages of up to 1 MiB
    }
  }
}
