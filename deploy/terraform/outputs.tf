output "queue" {
  description = "--queue"
  value       = "sqs://${var.name}?region=${local.place.region}"
}

output "payloads" {
  description = "--payloads"
  value       = "s3://${var.bucket}/${var.prefix}?region=${local.place.region}"
}

output "iam_roles" {
  description = "roles.ROLE.iamRole of the Helm chart"
  value       = { for name, role in aws_iam_role.role : name => role.arn }
}

output "iam_policies" {
  value = { for name, policy in aws_iam_policy.role : name => policy.arn }
}
