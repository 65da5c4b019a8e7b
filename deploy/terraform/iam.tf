data "aws_caller_identity" "current" {}
data "aws_region" "current" {}
data "aws_partition" "current" {}

locals {
  roles = toset(["api", "consumer", "dispatcher", "retry", "archiver"])

  place = {
    partition = data.aws_partition.current.partition
    region    = data.aws_region.current.region
    account   = data.aws_caller_identity.current.account_id
    queue     = var.name
    bucket    = var.bucket
    prefix    = local.prefix
  }
  msk_roles = var.msk == null ? toset([]) : local.roles
  oidc      = var.oidc_provider_arn == null ? "" : regex("oidc-provider/(.+)$", var.oidc_provider_arn)[0]
}

resource "aws_iam_policy" "role" {
  for_each = local.roles

  name        = "${var.name}-${each.value}"
  description = "What Postrider's role ${each.value} needs of SQS and S3"
  policy      = templatefile("${path.module}/../iam/${each.value}.json", local.place)
  tags        = var.tags
}

resource "aws_iam_policy" "msk" {
  for_each = local.msk_roles

  name        = "${var.name}-${each.value}-msk"
  description = "What Postrider's role ${each.value} needs of Kafka"
  policy      = templatefile("${path.module}/../iam/msk-${each.value}.json", merge(local.place, var.msk))
  tags        = var.tags
}

# A role for each service account of the Helm chart (IRSA).
resource "aws_iam_role" "role" {
  for_each = var.oidc_provider_arn == null ? toset([]) : local.roles

  name = "${var.name}-${each.value}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Federated = var.oidc_provider_arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "${local.oidc}:aud" = "sts.amazonaws.com"
          "${local.oidc}:sub" = "system:serviceaccount:${var.namespace}:${var.release}-${each.value}"
        }
      }
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy_attachment" "role" {
  for_each = aws_iam_role.role

  role       = each.value.name
  policy_arn = aws_iam_policy.role[each.key].arn
}

resource "aws_iam_role_policy_attachment" "msk" {
  for_each = { for name, role in aws_iam_role.role : name => role if var.msk != null }

  role       = each.value.name
  policy_arn = aws_iam_policy.msk[each.key].arn
}
