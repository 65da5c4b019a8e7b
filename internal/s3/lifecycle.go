package s3

import (
	"context"
	"math"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/postrider/postrider"
)

const ruleID = "postrider-payloads"

// ensureLifecycle checks that the bucket expires our objects, and not before the retention; it makes the rule where there
// is none. Where the server knows no lifecycle, or we may not use it, Expire sweeps instead.
func (s *Store) ensureLifecycle(ctx context.Context, retention time.Duration) error {
	if retention == 0 {
		return nil
	}
	days := int32(math.Ceil(retention.Hours() / 24))
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	out, err := s.client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &s.at.bucket})
	s.metrics.count("lifecycle", err)
	var rules []types.LifecycleRule
	switch {
	case err == nil:
		rules = out.Rules
	case codeOf(err) != "NoSuchLifecycleConfiguration":
		s.sweeps = true
		s.log.Info("the bucket's lifecycle can't be read: payloads are swept by age", "bucket", s.at.bucket, "error", err)
		return nil
	}
	if covered, err := s.covered(rules, days); covered || err != nil {
		return err
	}
	rules = append(rules, types.LifecycleRule{ID: aws.String(ruleID), Status: types.ExpirationStatusEnabled,
		Filter: &types.LifecycleRuleFilter{Prefix: &s.at.prefix}, Expiration: &types.LifecycleExpiration{Days: aws.Int32(days)}})
	_, err = s.client.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: &s.at.bucket,
		LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: rules}})
	s.metrics.count("lifecycle", err)
	if err != nil {
		s.sweeps = true
		s.log.Warn("the bucket has no lifecycle rule for payloads and it can't be made (s3:PutLifecycleConfiguration): payloads are swept by age",
			"bucket", s.at.bucket, "prefix", s.at.prefix, "error", err)
	}
	return nil
}

// covered reports whether an enabled rule expires our objects; one that does it too early is an error, since a retry would
// find its payload gone.
func (s *Store) covered(rules []types.LifecycleRule, days int32) (bool, error) {
	found := false
	for _, r := range rules {
		if r.Status != types.ExpirationStatusEnabled || r.Expiration == nil || r.Expiration.Days == nil || r.Filter == nil {
			continue
		}
		prefix := aws.ToString(r.Filter.Prefix)
		if len(prefix) > len(s.at.prefix) || s.at.prefix[:len(prefix)] != prefix {
			continue
		}
		if *r.Expiration.Days < days {
			return false, postrider.Errorf(postrider.CodeInvalid,
				"lifecycle rule %s of bucket %s expires payloads after %d days; retries may want them for %d: raise it",
				aws.ToString(r.ID), s.at.bucket, *r.Expiration.Days, days)
		}
		found = true
	}
	return found, nil
}

// Expire sweeps objects by age where no lifecycle rule does; see postrider.PayloadStore.
func (s *Store) Expire(ctx context.Context, before time.Time) (int, error) {
	if !s.sweeps {
		return 0, nil
	}
	removed := 0
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.at.bucket, Prefix: &s.at.prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		s.metrics.count("list", err)
		if err != nil {
			return removed, postrider.Errorf(postrider.CodeUnavailable, "payloads can't be listed (s3:ListBucket): %w", err)
		}
		n, err := s.remove(ctx, page.Contents, before)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

func (s *Store) remove(ctx context.Context, objects []types.Object, before time.Time) (int, error) {
	var old []types.ObjectIdentifier
	for _, o := range objects {
		if aws.ToTime(o.LastModified).Before(before) {
			old = append(old, types.ObjectIdentifier{Key: o.Key})
		}
	}
	if len(old) == 0 {
		return 0, nil
	}
	out, err := s.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &s.at.bucket, Delete: &types.Delete{Objects: old, Quiet: aws.Bool(true)}})
	s.metrics.count("delete", err)
	if err != nil {
		return 0, postrider.Errorf(postrider.CodeUnavailable, "payloads can't be removed (s3:DeleteObject): %w", err)
	}
	return len(old) - len(out.Errors), nil
}
