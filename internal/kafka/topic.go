package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/postrider/postrider"
)

// topicTimeout bounds each question about a topic.
const topicTimeout = 15 * time.Second

// batchSlack is what a batch of one record takes beyond the payload: type, headers and framing.
const batchSlack = 16 << 10

// topicInfo is what is known of a topic.
type topicInfo struct {
	id         kadm.TopicID
	maxBytes   int64 // of a batch; 0: unknown
	appendTime bool  // timestamps are the broker's
}

// ensureTopic finds a topic, and makes it if it is missing and that is permitted.
func ensureTopic(ctx context.Context, adm *kadm.Client, at location, topic string, configs map[string]string) (topicInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, topicTimeout)
	defer cancel()
	id, err := topicID(ctx, adm, topic)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		if id, err = makeTopic(ctx, adm, at, topic, configs); err != nil {
			return topicInfo{}, err
		}
	}
	if err != nil {
		return topicInfo{}, unavailable("topic "+topic, err)
	}
	info := topicInfo{id: id}
	return info, info.describe(ctx, adm, topic)
}

func topicID(ctx context.Context, adm *kadm.Client, topic string) (kadm.TopicID, error) {
	details, err := adm.ListTopics(ctx, topic)
	if err != nil {
		return kadm.TopicID{}, err
	}
	d := details[topic]
	return d.ID, d.Err
}

func makeTopic(ctx context.Context, adm *kadm.Client, at location, topic string, configs map[string]string) (kadm.TopicID, error) {
	values := make(map[string]*string, len(configs))
	for name, value := range configs {
		values[name] = &value
	}
	made, err := adm.CreateTopic(ctx, at.partitions, at.replication, values, topic)
	switch {
	case errors.Is(err, kerr.TopicAlreadyExists): // another process was first
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return kadm.TopicID{}, fmt.Errorf("topic %s is missing, and may not be created: make it, or permit Create on it: %w", topic, err)
	case err != nil:
		return kadm.TopicID{}, fmt.Errorf("topic %s is missing, and can't be created: %w", topic, err)
	default:
		return made.ID, nil
	}
	return topicID(ctx, adm, topic)
}

// describe reads the topic's settings. Where that is not permitted they stay unknown.
func (i *topicInfo) describe(ctx context.Context, adm *kadm.Client, topic string) error {
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
		}
	}
	return nil
}

// checkTopic says what is missing: the brokers, the topic, or the right to read it.
func checkTopic(ctx context.Context, adm *kadm.Client, topic string) error {
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
