package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/postrider/postrider"
	"github.com/postrider/postrider/internal/steady"
)

// topicTimeout bounds each question about a topic.
const topicTimeout = 15 * time.Second

// madeTopicPause is between two questions whether a topic that has just been made is known.
const madeTopicPause = 50 * time.Millisecond

// batchSlack is what a batch of one record takes beyond the payload: type, headers and framing.
const batchSlack = 16 << 10

// admin asks about topics and groups.
type admin struct {
	*kadm.Client
	raw *kgo.Client
}

func newAdmin(client *kgo.Client) *admin { return &admin{Client: kadm.NewClient(client), raw: client} }

// topicInfo is what is known of a topic.
type topicInfo struct {
	id         kadm.TopicID
	maxBytes   int64         // of a batch; 0: unknown
	appendTime bool          // timestamps are the broker's
	retention  time.Duration // 0: unknown, or for ever
}

// ensureTopic finds a topic, and makes it if it is missing and that is permitted.
func ensureTopic(ctx context.Context, adm *admin, at location, topic string, configs map[string]string) (topicInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, topicTimeout)
	defer cancel()
	id, err := topicID(ctx, adm, topic)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		if id, err = makeTopic(ctx, adm, at, topic, configs); err != nil {
			return topicInfo{}, err
		}
	}
	if err != nil {
		return topicInfo{}, refused(topic, err)
	}
	info := topicInfo{id: id}
	return info, info.describe(ctx, adm, topic)
}

// transient reports whether time may mend an error: no broker answered, or too few are up.
func transient(err error) bool {
	var answer *kerr.Error
	return err != nil && (!errors.As(err, &answer) || kerr.IsRetriable(err) || errors.Is(err, kerr.InvalidReplicationFactor))
}

// refused tells what the brokers refuse for good, which needs another setting, from what time may mend.
func refused(topic string, err error) error {
	if refusal := credentials(err); refusal != nil {
		return refusal
	}
	if errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed) {
		return fmt.Errorf("topic %s may not be described: permit Describe on it: %w", topic, err)
	}
	return unavailable("topic "+topic, err)
}

// credentials says what is wrong with the way to authenticate, or nil.
func credentials(err error) error {
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return fmt.Errorf("the brokers refuse the user, the password or the token: check the user in the URL and %s or password-file=: %w", PasswordVariable, err)
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return fmt.Errorf("the brokers do not offer this way to authenticate: use another sasl= in the URL: %w", err)
	}
	return nil
}

// topicID asks a broker, since what the client remembers of topics may be of before they were made.
func topicID(ctx context.Context, adm *admin, topic string) (kadm.TopicID, error) {
	one := kmsg.NewMetadataRequestTopic()
	one.Topic = &topic
	r := kmsg.NewPtrMetadataRequest()
	r.Topics = []kmsg.MetadataRequestTopic{one}
	answer, err := r.RequestWith(ctx, adm.raw)
	switch {
	case err != nil:
		return kadm.TopicID{}, err
	case len(answer.Topics) != 1:
		return kadm.TopicID{}, fmt.Errorf("the broker answered for %d topics", len(answer.Topics))
	}
	return answer.Topics[0].TopicID, kerr.ErrorForCode(answer.Topics[0].ErrorCode)
}

func makeTopic(ctx context.Context, adm *admin, at location, topic string, configs map[string]string) (kadm.TopicID, error) {
	values := make(map[string]*string, len(configs))
	for name, value := range configs {
		values[name] = &value
	}
	_, err := adm.CreateTopic(ctx, at.partitions, at.replication, values, topic)
	switch {
	case errors.Is(err, kerr.TopicAlreadyExists): // another process was first
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return kadm.TopicID{}, fmt.Errorf("topic %s is missing, and may not be created: make it, or permit Create on it: %w", topic, err)
	case transient(err):
		return kadm.TopicID{}, unavailable("topic "+topic+" is missing, and can't be created yet", err)
	case err != nil:
		return kadm.TopicID{}, fmt.Errorf("topic %s is missing, and can't be created: %w", topic, err)
	}
	return awaitTopic(ctx, adm, topic)
}

// awaitTopic waits until the brokers know a topic that has just been made, by this process or another: the controller answers
// before they do, and until then they deny the topic and its settings.
func awaitTopic(ctx context.Context, adm *admin, topic string) (kadm.TopicID, error) {
	for {
		id, err := topicID(ctx, adm, topic)
		if !errors.Is(err, kerr.UnknownTopicOrPartition) {
			if err != nil {
				err = refused(topic, err)
			}
			return id, err
		}
		if !steady.Sleep(ctx, madeTopicPause) {
			return kadm.TopicID{}, unavailable("topic "+topic+" has been made, and no broker knows it yet", err)
		}
	}
}

// describe reads the topic's settings. Where that is not permitted they stay unknown.
func (i *topicInfo) describe(ctx context.Context, adm *admin, topic string) error {
	all, err := adm.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return unavailable("settings of topic "+topic, err)
	}
	found, err := all.On(topic, nil)
	if err != nil || found.Err != nil {
		return nil
	}
	for _, c := range found.Configs {
		switch c.Key {
		case "max.message.bytes":
			i.maxBytes, _ = strconv.ParseInt(c.MaybeValue(), 10, 64)
		case "message.timestamp.type":
			i.appendTime = c.MaybeValue() == "LogAppendTime"
		case "retention.ms":
			ms, _ := strconv.ParseInt(c.MaybeValue(), 10, 64)
			i.retention = time.Duration(max(ms, 0)) * time.Millisecond // -1 is for ever
		}
	}
	return nil
}

// withRetention adds how long a topic that is made keeps its records.
func withRetention(configs map[string]string, retention time.Duration) map[string]string {
	if retention > 0 {
		configs["retention.ms"] = formatInt(retention.Milliseconds())
	}
	return configs
}

// warnOfRetention tells of a topic that was there before, and keeps its records for less than a setting says.
func (i *topicInfo) warnOfRetention(log *slog.Logger, topic, setting string, want time.Duration) {
	if i.retention > 0 && i.retention < want {
		log.Warn("the topic keeps its records for a shorter time than the setting says: set retention.ms", "topic", topic,
			"retention", i.retention, "setting", setting, "value", want)
	}
}

// checkTopic says what is missing: the brokers, the topic, or the right to read it.
func checkTopic(ctx context.Context, adm *admin, topic string) error {
	_, err := topicID(ctx, adm, topic)
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return postrider.Errorf(postrider.CodeUnavailable, "Kafka: topic %s is missing", topic)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return postrider.Errorf(postrider.CodeUnavailable, "Kafka: topic %s may not be described with these credentials", topic)
	case err != nil:
		return unavailable("no broker answers for topic "+topic, err)
	}
	return nil
}
