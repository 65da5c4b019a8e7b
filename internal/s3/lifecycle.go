package s3

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/postrider/postrider"
)

const ruleID = "postrider-payloads"

// ensureLifecycle checks that the bucket expires our objects, and not before the retention; it makes the rule where there
// is none. Where the server knows no lifecycle, or we may not use it, Expire sweeps instead.
func (s *Store) ensureLifecycle(ctx context.Context) error {
	if s.retention == 0 {
		return nil
	}
	days := int32(math.Ceil(s.retention.Hours() / 24))
	out, err := s.client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &s.at.bucket})
	var rules []types.LifecycleRule
	switch {
	case err == nil:
		rules = out.Rules
	case !answered(err):
		return postrider.Errorf(postrider.CodeUnavailable, "the lifecycle of bucket %s can't be read: %w", s.at.bucket, err)
	case codeOf(err) != "NoSuchLifecycleConfiguration":
		s.sweeps.Store(true)
		s.log.Info("the bucket's lifecycle can't be read (s3:GetLifecycleConfiguration): payloads are swept by age", "bucket", s.at.bucket, "error", err)
		return nil
	}
	if covered, err := s.covered(rules, days); covered || err != nil {
		return err
	}
	return s.makeRule(ctx, rules, days)
}

func (s *Store) makeRule(ctx context.Context, rules []types.LifecycleRule, days int32) error {
	rules = append(rules, types.LifecycleRule{ID: aws.String(ruleID), Status: types.ExpirationStatusEnabled,
		Filter: &types.LifecycleRuleFilter{Prefix: &s.at.prefix}, Expiration: &types.LifecycleExpiration{Days: aws.Int32(days)}})
	_, err := s.client.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: &s.at.bucket,
		LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: rules}})
	switch {
	case err == nil:
	case !answered(err):
		return postrider.Errorf(postrider.CodeUnavailable, "the lifecycle of bucket %s can't be set: %w", s.at.bucket, err)
	default:
		s.sweeps.Store(true)
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
		if r.Status != types.ExpirationStatusEnabled || r.Expiration == nil || r.Expiration.Days == nil {
			continue
		}
		prefix, all := scope(&r)
		if !strings.HasPrefix(s.at.prefix, prefix) {
			continue
		}
		if *r.Expiration.Days < days {
			return false, postrider.Invalid("payloads",
				"lifecycle rule %s of bucket %s expires payloads after %d days; retries may want them for %d: raise it (s3:PutLifecycleConfiguration)",
				aws.ToString(r.ID), s.at.bucket, *r.Expiration.Days, days)
		}
		found = found || all
	}
	return found, nil
}

// scope is the prefix of a rule, and whether it is for all objects with that prefix, not only for those of a tag or a size.
func scope(r *types.LifecycleRule) (prefix string, all bool) {
	f := r.Filter
	switch {
	case f == nil:
		return aws.ToString(r.Prefix), true //nolint:staticcheck // rules that were made long ago have no filter
	case f.And != nil:
		return aws.ToString(f.And.Prefix), len(f.And.Tags) == 0 && f.And.ObjectSizeGreaterThan == nil && f.And.ObjectSizeLessThan == nil
	}
	return aws.ToString(f.Prefix), f.Tag == nil && f.ObjectSizeGreaterThan == nil && f.ObjectSizeLessThan == nil
}

// Expire sweeps objects by age where no lifecycle rule does, at most once in Options.SweepEvery, since each sweep lists all
// objects; see postrider.PayloadStore. Several processes may sweep at once: they do the same.
func (s *Store) Expire(ctx context.Context, before time.Time) (int, error) {
	if !s.sweeps.Load() || !s.turn() {
		return 0, nil
	}
	removed := 0
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.at.bucket, Prefix: &s.at.prefix})
	for pages.HasMorePages() {
		n, err := s.sweepPage(ctx, pages, before)
		removed += n
		if err != nil {
			s.mu.Lock()
			s.swept = time.Time{}
			s.mu.Unlock()
			return removed, err
		}
	}
	return removed, nil
}

// turn reports whether it is time to sweep.
func (s *Store) turn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.swept.IsZero() && time.Since(s.swept) < s.sweepEvery {
		return false
	}
	s.swept = time.Now()
	return true
}

func (s *Store) sweepPage(ctx context.Context, pages *s3.ListObjectsV2Paginator, before time.Time) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	page, err := pages.NextPage(ctx)
	if err != nil {
		return 0, postrider.Errorf(postrider.CodeUnavailable, "payloads can't be listed (s3:ListBucket): %w", err)
	}
	return s.remove(ctx, page.Contents, before)
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
	if err != nil {
		return 0, postrider.Errorf(postrider.CodeUnavailable, "payloads can't be removed (s3:DeleteObject): %w", err)
	}
	if len(out.Errors) > 0 {
		e := out.Errors[0]
		return len(old) - len(out.Errors), postrider.Errorf(postrider.CodeUnavailable, "%d payloads can't be removed (s3:DeleteObject): %s: %s", len(out.Errors),
			aws.ToString(e.Code), aws.ToString(e.Message))
	}
	return len(old), nil
}
