/* Finds what reads each value, from the last node to the first. */
#include "runtime/network/reading.h"

#include <math.h>
#include <string.h>

bool fg_node_can_be_int8(const struct fg_network *network, const struct fg_node *node) {
    return fg_node_is_convolution(node) &&
           (node->in[0] == network->input || network->value[node->in[0]].c / node->groups % 4 == 0);
}

/* The value that a reader of this value reads: masks do nothing when judging. */
static int32_t find_source(const struct fg_network *network, int32_t value) {
    for (uint32_t n = network->nodes; n-- > 0;)
        if (network->node[n].op == FG_MASK && network->node[n].out[0] == value)
            return find_source(network, network->node[n].in[0]);
    return value;
}

static enum fg_status check_readings(const struct fg_network *network, const struct fg_reading *reading,
                                     struct fg_message *message) {
    bool can[FG_NETWORK_PARAMS] = {false};
    for (uint32_t n = 0; n < network->nodes; n++)
        if (fg_node_can_be_int8(network, &network->node[n]))
            can[network->node[n].weight] = true;
    for (uint32_t i = 0; i < network->params; i++) {
        if (reading[i].scale == 0)
            continue;
        if (!can[i])
            return fg_fail(message, FG_INPUT, "network: %s cannot have weights of 8 bits",
                           network->param[i].name);
        if (!(reading[i].scale > 0 && isfinite(reading[i].scale)) || reading[i].zero < 0 ||
            reading[i].zero > 255)
            return fg_fail(message, FG_INPUT,
                           "network: %s: its input has scale %g and zero %d, but must have a scale above 0 "
                           "and a zero of 0 to 255",
                           network->param[i].name, (double)reading[i].scale, (int)reading[i].zero);
    }
    return FG_OK;
}

/* Enters how a node reads its inputs. kept becomes false where something reads a value as it is. */
static enum fg_status enter_node(const struct fg_network *network, const struct fg_node *node,
                                 const struct fg_reading *reading, struct fg_read_value *value,
                                 struct fg_message *message) {
    const bool int8 = fg_node_is_convolution(node) && reading[node->weight].scale > 0;
    for (int i = 0; i < FG_MAX_IN && !int8; i++)
        if (node->in[i] >= 0)
            value[find_source(network, node->in[i])].kept = false;
    if (node->residual >= 0 && !int8)
        value[find_source(network, node->residual)].kept = false;
    if (!int8)
        return FG_OK;
    struct fg_reading *own = &value[find_source(network, node->in[0])].reading;
    const struct fg_reading wished = reading[node->weight];
    if (own->scale > 0 && (own->scale != wished.scale || own->zero != wished.zero))
        return fg_fail(message, FG_INPUT,
                       "network: %s reads its input in another way than the convolution beside it",
                       network->param[node->weight].name);
    *own = wished;
    return FG_OK;
}

enum fg_status fg_network_read(const struct fg_network *network, const struct fg_reading *reading,
                               struct fg_read_value *value, struct fg_message *message) {
    memset(value, 0, FG_NETWORK_VALUES * sizeof *value);
    if (!reading)
        return FG_OK;
    enum fg_status status = check_readings(network, reading, message);
    for (uint32_t n = 0; n < network->nodes; n++) {
        const struct fg_node *node = &network->node[n];
        if (fg_node_is_convolution(node))
            value[node->out[0]].kept = reading[node->weight].scale > 0;
    }
    for (uint32_t n = 0; n < network->nodes && status == FG_OK; n++)
        if (network->node[n].op != FG_MASK)
            status = enter_node(network, &network->node[n], reading, value, message);
    for (uint32_t i = 0; i < network->levels; i++)
        value[network->student[i]].kept = false;
    for (int i = 0; i < FG_NETWORK_LEVELS; i++)
        value[network->feature[i]].kept = false;
    for (uint32_t v = 0; v < network->values; v++)
        value[v].kept = value[v].kept && value[v].reading.scale > 0;
    return status;
}
